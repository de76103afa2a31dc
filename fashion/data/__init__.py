"""From annotation files and pictures to batches.

The way of a picture, a file a step:

    formats/inshop.py      its line in the files of a benchmark; so too consumer2shop.py, category.py, manifest.py
    formats/images.py      its row, joined from all these files: what `schema.py` calls ANNOTATIONS
    prepare/shards.py      its item's split and shard, by a seeded hash
    prepare/pack.py        its bytes read, checked, cropped and shrunk, and written beside its annotation
    table.py               the item table that comes of it, read a row group at a time
    plan.py                the step of an epoch in which its item is drawn
    stream.py              its place in a batch
    decode.py              its pixels

Beside: `formats/` knows the layouts, `pictures/` where bytes come from, `prepare/` all else that makes a table, `views.py`
which pictures of an item an epoch looks at, `labels.py` and `label_pictures.py` what is predicted beside the embedding.
"""
