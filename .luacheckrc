-- Models run in vmscope's own sandbox: include() is theirs.
files["labs/guests"] = { read_globals = { "include" } }
-- An example of what a user sets.
files["docs/tui.lua"] = { globals = { "theme", "keys", "keys_exit", "colors" } }
