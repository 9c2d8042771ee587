"""Tests of drift, one to a file: how far the values of now lie from those of training, as an effect size."""
