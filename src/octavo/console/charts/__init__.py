"""Small charts, drawn as SVG on the server: no script, colours from the style sheet, a name that can be read aloud."""
