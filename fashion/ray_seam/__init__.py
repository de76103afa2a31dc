"""All that leans on Ray's inside rather than on what it documents: Ray 2.60. tests/test_ray_seam.py says what each part
relies on."""
