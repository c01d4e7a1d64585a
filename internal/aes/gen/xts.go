package main

func xts(c *gen) {}
