//go:build fipsindicator

// Without a file of assembler the compiler wants bodies for the functions that are linked by name.
