"""Captioning data sets of any size, on one machine or many: Ray Data around a models/ captioner.

The floor above models/ and serving/: pictures are decoded by the very code that the server decodes
uploads with, and captioned by the very captioners it serves. Which folders are searched and how a
list is read are the command line client's rules.
"""
