/* What a model finds besides the primitives, written in the model's own language. Runs once, before the model. */
static const char prelude[] = "local methods = ...\n"
			      /* A number of the guest's command line: name=number. */
			      "function methods:arg(name, default)\n"
			      "  for word in self.args:gmatch('%S+') do\n"
			      "    local k, v = word:match('^([^=]+)=(%d+)')\n"
			      "    if k == name then return tonumber(v) & 0xffffffff end\n"
			      "  end\n"
			      "  return default\n"
			      "end\n"
			      /* Sleep until the next interrupt. */
			      "function methods:wait_irq()\n"
			      "  self:sti()\n"
			      "  self:hlt()\n"
			      "  self:cli()\n"
			      "end\n";
