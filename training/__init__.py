"""Train, evaluate and register captioners on COCO-format data. Uses `models`, never `serving`."""
