-- Models run in vmscope's own sandbox: include() is theirs.
files["labs/guests"] = { read_globals = { "include" } }
