-- Models run in vmscope's own sandbox: include() is theirs.
files["labs/guests"] = { read_globals = { "include" } }
-- Files of labs: the VMM's functions, and starters whose parameters wait to be used.
local lab = { read_globals = { "vmscope", "include" }, ignore = { "212" }, max_line_length = 140 }
local starter = { read_globals = lab.read_globals, ignore = { "211", "212", "231" }, max_line_length = 140 }
files["labs/[01]*"] = lab
files["labs/new"] = lab
files["labs/solutions"] = lab
files["labs/*/starter"] = starter
-- An example of what a user sets.
files["docs/tui.lua"] = { globals = { "theme", "keys", "keys_exit", "colors" } }
