-- Requests with the tokens of many users in turn: wrk -s tokens.lua URL -- FILE, with a token a line.
local requests, at = {}, 0
init = function(args)
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, {
      ["Host"] = "bench", ["Origin"] = "https://velro.ai", ["Authorization"] = "Bearer " .. token })
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
