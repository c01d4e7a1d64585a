package keyfile

// Inspect describes a key file without a password. Nothing it says is
// authentic: see [Open] and [Verify] for that. A damaged file is described as
// far as it can be read, beside an error that matches [ErrDamaged]; Intact is
// then false.
func Inspect(path string, o *Options) (Info, error) {
	opts, err := o.complete()
	if err != nil {
		return Info{}, err
	}
	data, err := readFile(opts.FS, path)
	if err != nil {
		return Info{}, err
	}
	return inspect(data)
}

func inspect(data []byte) (Info, error) {
	c, err := decode(data)
	if err == nil {
		return c.info(), nil
	}
	if !damagedOnly(err) || len(data) > MaxFileSize {
		return Info{}, err
	}
	c, _ = parse(data) // what is readable; err says what is wrong first
	in := c.info()
	in.Size, in.Intact = len(data), false
	return in, err
}
