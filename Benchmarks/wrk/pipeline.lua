-- Sixteen requests in one write.
local requests
init = function()
  local one = {}
  for i = 1, 16 do one[i] = wrk.format("GET", nil) end
  requests = table.concat(one)
end
request = function() return requests end
