"""Runs that others trained, read and never written: transformers, TensorBoard, W&B.

Their files are read without their packages, which take seconds to import; nothing is unpickled.
"""
