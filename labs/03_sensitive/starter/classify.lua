local M = {}

-- Two observations of one instruction, at CPL 0 and at CPL 3. Gives { privileged=, control=, behaviour= }, each true or
-- false.
function M.classify(at0, at3)
end

-- A list of { name=, privileged=, control=, behaviour= }. Gives true or false, and the names that stand in the way.
function M.virtualizable(instructions)
end

return M
