"""Does a backend compute what the reference computes?"""
