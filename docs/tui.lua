-- Keys and colours of "vmscope tui": copy this file to ~/.config/vmscope/tui.lua ($XDG_CONFIG_HOME/vmscope/tui.lua).
-- It is Lua without files, libraries of the system, or loops that do not end. docs/tui.md says what may stand here.

theme = "safe" -- dark, light, safe (told apart by colour-blind people, high contrast), mono

-- A key is a command line, as ':' takes it. Names of keys: a, A, F5, C-n (Ctrl), M-x (Alt), Up, PgDn, Space, Enter ...
keys = {
	["F5"] = "continue",
	["F7"] = "step",
	["F8"] = "over",
	["F9"] = "line break ", -- begins a line
	["C-n"] = "step exit 10",
	["R"] = "", -- nothing: no restart by mistake
}

-- Only in one view: keys_scope, keys_exit, keys_machine ...
keys_exit = {
	["F8"] = "select next same",
}

-- Colours of single things, in place of the scheme's: a colour, "on" a background, attributes.
colors = {
	holds = "sky,bold",
	violated = "white,on vermilion,bold",
}

-- ascii = true -- borders and marks without UTF-8
-- mouse = false -- the mouse is the terminal's from the beginning
