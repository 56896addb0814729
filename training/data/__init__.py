"""COCO-format data: files, pictures, batches."""
