"""Where the camera is: measured with a board, compared with where it was in training, aligned by its depth."""
