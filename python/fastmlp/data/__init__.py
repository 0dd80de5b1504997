"""Reading files into tables and arrays, and preparing them for a network.

>>> import fastmlp
>>> raw = fastmlp.data.read("moons")
>>> prepared = fastmlp.data.prepare(raw, fastmlp.data.Options(split_seed=1))
>>> prepared.train.x.shape, prepared.task
((720, 2), 'classification')
"""

# Not on demand: two functions are called like their modules, and the one imported last would win.
from fastmlp.data.prepare import Options, Prepared, Samples, prepare
from fastmlp.data.preprocessing import Preprocessing
from fastmlp.data.read import Part, RawData, is_file_source, read, read_samples
from fastmlp.data.table import Table

__all__ = [
    "Options",
    "Part",
    "Prepared",
    "Preprocessing",
    "RawData",
    "Samples",
    "Table",
    "is_file_source",
    "prepare",
    "read",
    "read_samples",
]
