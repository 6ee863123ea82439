"""Sources of items to tokenize: folders of files, tars, tables, arrays and data sets. They are read in order, a part at a time."""
