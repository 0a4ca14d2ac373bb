"""Programs that measure one engine once, each in a process of its own, and write one JSON object to stdout.

`python WORKER.py MODEL PLAN`: all but the artifact's run under whatever interpreter has their engine, and import
nothing of thinkport.
"""
