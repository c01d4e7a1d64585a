package main

func ctr(c *gen) {}
