#!/bin/sh
# Writes down how it was called and makes what `convsmith compile` makes: the last argument is where.
echo "$*" >>calls.txt
for path; do :; done
name=$(basename "$path")
echo "int ${name}_run(void);" >"$path.h"
echo "int ${name}_run(void) { return 42; }" | cc -x c -c - -o "$path.o"
