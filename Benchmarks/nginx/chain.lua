-- What Bulkhead's chain does, in nginx with Lua: CORS, an HS256 token verified with libcrypto, GCRA in shared memory.
-- Written as one would for speed: FFI, no string building that can be avoided, a JSON module in C.
local ffi = require "ffi"
local cjson = require "cjson.safe"
local base64 = require "ngx.base64"
local lrucache = require "resty.lrucache"

ffi.cdef[[
typedef struct evp_md_st EVP_MD;
const EVP_MD *EVP_sha256(void);
unsigned char *HMAC(const EVP_MD *evp_md, const void *key, int key_len, const unsigned char *d, size_t n,
                    unsigned char *md, unsigned int *md_len);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
]]
local crypto = ffi.load("crypto")
local sha256 = crypto.EVP_sha256()
local digest = ffi.new("unsigned char[32]")
local digest_length = ffi.new("unsigned int[1]")

local M = { secret = "" }
local verified = lrucache.new(16384)
local limits = ngx.shared.limits
local origins = { ["https://velro.ai"] = true, ["http://localhost:3000"] = true }
local find, sub = string.find, string.sub

local function verify(token)
  local first = find(token, ".", 1, true)
  local second = first and find(token, ".", first + 1, true)
  if not second or find(token, ".", second + 1, true) then return nil end
  local header = base64.decode_base64url(sub(token, 1, first - 1))
  header = header and cjson.decode(header)
  if not header or header.alg ~= "HS256" then return nil end
  local signature = base64.decode_base64url(sub(token, second + 1))
  if not signature or #signature ~= 32 then return nil end
  crypto.HMAC(sha256, M.secret, #M.secret, token, second - 1, digest, digest_length)
  if crypto.CRYPTO_memcmp(digest, signature, 32) ~= 0 then return nil end
  local payload = base64.decode_base64url(sub(token, first + 1, second - 1))
  local claims = payload and cjson.decode(payload)
  if not claims or claims.iss ~= "bulkhead" or claims.aud ~= "bulkhead" then return nil end
  return claims
end

-- 6000000 a minute, 1000000 at once: never reached, always counted, as on the other side.
local interval, burst = 0.00001, 10
local function allowed(key, now)
  local arrival = limits:get(key)
  if not arrival or arrival < now then arrival = now end
  if arrival - now > burst then return false end
  limits:set(key, arrival + interval)
  return true, math.floor((burst - (arrival - now)) / interval)
end

local function respond(status, body)
  ngx.status = status
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

local function refuse(status, code)
  ngx.header["Content-Type"] = "application/problem+json"
  return respond(status, '{"status":' .. status .. ',"code":"' .. code .. '"}')
end

local function put_cors(header, origin)
  header["Vary"] = "Origin"
  if origin and (origins[origin] or find(origin, "^https://[%w.-]+%.velro%.ai$")) then
    header["Access-Control-Allow-Origin"] = origin
    header["Access-Control-Allow-Credentials"] = "true"
    header["Access-Control-Expose-Headers"] = "X-Request-Id, RateLimit, RateLimit-Policy, Retry-After"
  end
end

-- All in one phase: nginx enters Lua once a request. `cached`: whether verified tokens are kept.
function M.serve(cached)
  local header = ngx.header
  put_cors(header, ngx.var.http_origin)
  header["X-Request-Id"] = ngx.var.request_id

  local authorization = ngx.var.http_authorization
  if not authorization or sub(authorization, 1, 7) ~= "Bearer " then return refuse(401, "unauthorized") end
  local token = sub(authorization, 8)
  local claims = cached and verified:get(token)
  if not claims then
    claims = verify(token)
    if not claims then return refuse(401, "invalid-token") end
    if cached then verified:set(token, claims, claims.exp - ngx.time()) end
  end
  if claims.exp <= ngx.time() then return refuse(401, "invalid-token") end

  local ok, left = allowed(claims.sub, ngx.now())
  if not ok then return refuse(429, "rate-limited") end
  header["RateLimit-Policy"] = '"api";q=1000000;w=10'
  header["RateLimit"] = '"api";r=' .. left .. ';t=10'

  respond(200, '{"status":"ok","subject":"' .. claims.sub .. '"}')
end

return M
