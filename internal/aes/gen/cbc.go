package main

func cbc(c *gen) {}
