"""Trackers: a run's numbers in W&B, TensorBoard, trackio or MLflow as well."""
