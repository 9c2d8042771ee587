"""Datasets: which rows, with which values, kept on record so that each can be made again."""
