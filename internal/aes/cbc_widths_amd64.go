//go:build !purego

package aes

func cbcEncryptBlocks(k *Key, wide int, lanes *byte, blocks int) {
	switch k.tier {
	case VAES512:
		cbcEncryptBlocksVAES512(k, wide, lanes, blocks)
	case VAES256:
		cbcEncryptBlocksVAES256(k, wide, lanes, blocks)
	default:
		cbcEncryptBlocksAESNI(k, wide, lanes, blocks)
	}
}

func cbcEncryptLines(k *Key, wide int, lanes *byte, lines int) {
	switch k.tier {
	case VAES512:
		cbcEncryptLinesVAES512(k, wide, lanes, lines)
	case VAES256:
		cbcEncryptLinesVAES256(k, wide, lanes, lines)
	default:
		cbcEncryptLinesAESNI(k, wide, lanes, lines)
	}
}

func cbcEncryptBlocksVAES512(k *Key, wide int, lanes *byte, blocks int) {
	switch wide {
	case 4:
		cbcEncryptVAES512x4(k.enc(), lanes, blocks, k.rounds)
	case 8:
		cbcEncryptVAES512x8(k.enc(), lanes, blocks, k.rounds)
	case 12:
		cbcEncryptVAES512x12(k.enc(), lanes, blocks, k.rounds)
	case 16:
		cbcEncryptVAES512x16(k.enc(), lanes, blocks, k.rounds)
	case 20:
		cbcEncryptVAES512x20(k.enc(), lanes, blocks, k.rounds)
	case 24:
		cbcEncryptVAES512x24(k.enc(), lanes, blocks, k.rounds)
	case 32:
		cbcEncryptVAES512x32(k.enc(), lanes, blocks, k.rounds)
	default:
		panic(noKernel)
	}
}

func cbcEncryptLinesVAES512(k *Key, wide int, lanes *byte, lines int) {
	switch wide {
	case 16:
		cbcEncryptLinesVAES512x16(k.enc(), lanes, lines, k.rounds)
	case 20:
		cbcEncryptLinesVAES512x20(k.enc(), lanes, lines, k.rounds)
	case 24:
		cbcEncryptLinesVAES512x24(k.enc(), lanes, lines, k.rounds)
	case 32:
		cbcEncryptLinesVAES512x32(k.enc(), lanes, lines, k.rounds)
	default:
		panic(noKernel)
	}
}

func cbcEncryptBlocksVAES256(k *Key, wide int, lanes *byte, blocks int) {
	switch wide {
	case 2:
		cbcEncryptVAES256x2(k.enc(), lanes, blocks, k.rounds)
	case 4:
		cbcEncryptVAES256x4(k.enc(), lanes, blocks, k.rounds)
	case 8:
		cbcEncryptVAES256x8(k.enc(), lanes, blocks, k.rounds)
	case 12:
		cbcEncryptVAES256x12(k.enc(), lanes, blocks, k.rounds)
	case 16:
		cbcEncryptVAES256x16(k.enc(), lanes, blocks, k.rounds)
	case 20:
		cbcEncryptVAES256x20(k.enc(), lanes, blocks, k.rounds)
	case 22:
		cbcEncryptVAES256x22(k.enc(), lanes, blocks, k.rounds)
	case 24:
		cbcEncryptVAES256x24(k.enc(), lanes, blocks, k.rounds)
	default:
		panic(noKernel)
	}
}

func cbcEncryptLinesVAES256(k *Key, wide int, lanes *byte, lines int) {
	switch wide {
	case 8:
		cbcEncryptLinesVAES256x8(k.enc(), lanes, lines, k.rounds)
	case 12:
		cbcEncryptLinesVAES256x12(k.enc(), lanes, lines, k.rounds)
	case 16:
		cbcEncryptLinesVAES256x16(k.enc(), lanes, lines, k.rounds)
	case 20:
		cbcEncryptLinesVAES256x20(k.enc(), lanes, lines, k.rounds)
	case 22:
		cbcEncryptLinesVAES256x22(k.enc(), lanes, lines, k.rounds)
	case 24:
		cbcEncryptLinesVAES256x24(k.enc(), lanes, lines, k.rounds)
	default:
		panic(noKernel)
	}
}

func cbcEncryptBlocksAESNI(k *Key, wide int, lanes *byte, blocks int) {
	switch wide {
	case 1:
		cbcEncryptAESNIx1(k.enc(), lanes, blocks, k.rounds)
	case 2:
		cbcEncryptAESNIx2(k.enc(), lanes, blocks, k.rounds)
	case 4:
		cbcEncryptAESNIx4(k.enc(), lanes, blocks, k.rounds)
	case 8:
		cbcEncryptAESNIx8(k.enc(), lanes, blocks, k.rounds)
	case 10:
		cbcEncryptAESNIx10(k.enc(), lanes, blocks, k.rounds)
	case 11:
		cbcEncryptAESNIx11(k.enc(), lanes, blocks, k.rounds)
	case 12:
		cbcEncryptAESNIx12(k.enc(), lanes, blocks, k.rounds)
	default:
		panic(noKernel)
	}
}

func cbcEncryptLinesAESNI(k *Key, wide int, lanes *byte, lines int) {
	switch wide {
	case 8:
		cbcEncryptLinesAESNIx8(k.enc(), lanes, lines, k.rounds)
	case 10:
		cbcEncryptLinesAESNIx10(k.enc(), lanes, lines, k.rounds)
	case 11:
		cbcEncryptLinesAESNIx11(k.enc(), lanes, lines, k.rounds)
	case 12:
		cbcEncryptLinesAESNIx12(k.enc(), lanes, lines, k.rounds)
	default:
		panic(noKernel)
	}
}
