local function steps_of(model, type, reason)
  local paths = model["type" .. type]
  return paths[reason] or paths.default
end

local function cost(model, type, reason)
  local sum = 0
  for _, name in ipairs(steps_of(model, type, reason)) do sum = sum + model.steps[name].ns end
  return sum
end

local SECOND = 1e9

local function overhead(model, type, rates)
  local vmm = 0
  for reason, rate in pairs(rates) do vmm = vmm + rate * cost(model, type, reason) end
  return vmm / (SECOND + vmm)
end

local function rate_for(model, type, reason, share)
  return share * SECOND / (cost(model, type, reason) * (1 - share))
end

local function breakeven(model, reason, fixed_ns)
  local more = cost(model, 2, reason) - cost(model, 1, reason)
  return fixed_ns / math.max(more, 0) -- never is 1 / 0
end

local function bottleneck(model, type, counts)
  local sums, worst = {}, nil
  for reason, n in pairs(counts) do
    for _, name in ipairs(steps_of(model, type, reason)) do
      sums[name] = (sums[name] or 0) + n * model.steps[name].ns
    end
  end
  for name, sum in pairs(sums) do
    if not worst or sum > sums[worst] then worst = name end
  end
  return worst
end

return { overhead = overhead, rate_for = rate_for, breakeven = breakeven, bottleneck = bottleneck }
