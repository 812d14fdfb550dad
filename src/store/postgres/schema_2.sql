-- Version 2: the smaller payload of a message. A program that knows version 1 sends without it.

ALTER TABLE broadcasts ADD COLUMN fallback BYTEA;
