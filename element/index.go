package element

// An indexState makes blind indexes under one key.
type indexState struct{ mac *macKey }

func (x *indexState) close() {
	if x != nil {
		x.mac.close()
	}
}
