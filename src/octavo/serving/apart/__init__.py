"""Project code in processes of its own: what raises, hangs, leaks or crashes there takes only itself down.

It is no sandbox against those who wrote the code, which the release key vouches for: it keeps their mistakes from
everybody else's answers, and the predictor's memory, settings and connections out of their reach.
"""
