"""OpenVINO: making a model's graphs and running them."""
