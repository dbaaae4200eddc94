-- The gateway job for nginx: verifies ES256 tokens with libcrypto through the FFI, with or without a cache of verified
-- tokens, and counts answers. Limits, log and forwarding are nginx's own. Set up once per worker by init_worker.
local ffi = require "ffi"
local lrucache = require "resty.lrucache"

ffi.cdef [[
typedef struct bio_st BIO;
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD;
BIO *BIO_new_mem_buf(const void *buf, int len);
int BIO_free(BIO *a);
EVP_PKEY *PEM_read_bio_PUBKEY(BIO *bp, EVP_PKEY **x, void *cb, void *u);
EVP_MD_CTX *EVP_MD_CTX_new(void);
const EVP_MD *EVP_sha256(void);
int EVP_DigestVerifyInit(EVP_MD_CTX *ctx, void **pctx, const EVP_MD *type, void *e, EVP_PKEY *pkey);
int EVP_DigestVerify(EVP_MD_CTX *ctx, const unsigned char *sig, size_t siglen, const unsigned char *tbs, size_t tbslen);
]]
local crypto = ffi.load("libcrypto.so.3")

local M = {}
local key, context, cache, options

-- options: public_key (PEM), issuer, audience, scope, cache (boolean)
function M.setup(given)
  options = given
  local bio = crypto.BIO_new_mem_buf(given.public_key, #given.public_key)
  key = crypto.PEM_read_bio_PUBKEY(bio, nil, nil, nil)
  crypto.BIO_free(bio)
  assert(key ~= nil, "cannot read the public key")
  context = crypto.EVP_MD_CTX_new()
  cache = given.cache and assert(lrucache.new(10000)) or nil
end

local function from_base64url(text)
  text = text:gsub("-", "+"):gsub("_", "/")
  local rest = #text % 4
  if rest > 0 then text = text .. string.rep("=", 4 - rest) end
  return ngx.decode_base64(text)
end

-- One integer of the signature in DER: no leading zeros, and one if the top bit is set.
local function der_integer(bytes)
  bytes = bytes:gsub("^%z+", "")
  if bytes == "" or bytes:byte(1) >= 0x80 then bytes = "\0" .. bytes end
  return "\2" .. string.char(#bytes) .. bytes
end

-- JWS carries r and s side by side (RFC 7518, section 3.4), OpenSSL wants a DER sequence.
local function to_der(signature)
  if not signature or #signature ~= 64 then return nil end
  local body = der_integer(signature:sub(1, 32)) .. der_integer(signature:sub(33))
  return "\48" .. string.char(#body) .. body
end

-- Claims are cut out by pattern from the issuer's compact JSON: less than a general decoder would do, in nginx's favour.
local function verify(token)
  local signed, head, payload, signature = token:match("^(([%w_-]+)%.([%w_-]+))%.([%w_-]+)$")
  if not signed then return nil end
  local header = from_base64url(head)
  if not header or not header:find('"alg":"ES256"', 1, true) then return nil end
  local der = to_der(from_base64url(signature))
  if not der then return nil end
  if crypto.EVP_DigestVerifyInit(context, nil, crypto.EVP_sha256(), nil, key) ~= 1 then return nil end
  if crypto.EVP_DigestVerify(context, der, #der, signed, #signed) ~= 1 then return nil end
  local text = from_base64url(payload)
  local claims = { sub = text:match('"sub":"([^"]+)"'), exp = tonumber(text:match('"exp":(%d+)')) }
  if not claims.sub or not claims.exp then return nil end
  if text:match('"iss":"([^"]+)"') ~= options.issuer or text:match('"aud":"([^"]+)"') ~= options.audience then return nil end
  local scopes = text:match('"scope":"([^"]+)"') or ""
  return (" " .. scopes .. " "):find(" " .. options.scope .. " ", 1, true) and claims or nil
end

local function claims_of(token)
  local claims = cache and cache:get(token)
  if claims then return claims end
  claims = verify(token)
  if cache and claims then cache:set(token, claims, math.max(1, claims.exp - ngx.time())) end
  return claims
end

-- The rewrite phase, before limit_req: sets $sub or answers 401.
function M.authenticate()
  local header = ngx.var.http_authorization
  local token = header and header:match("^[Bb]earer (.+)$")
  local claims = token and claims_of(token)
  if not claims or claims.exp <= ngx.time() then
    ngx.header["WWW-Authenticate"] = "Bearer"
    return ngx.exit(401)
  end
  ngx.var.sub = claims.sub
end

-- Metrics of this worker: answers by status, and a latency histogram.
local statuses, counts = {}, {}
local bounds = { 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, math.huge }

function M.count()
  local status = ngx.status
  statuses[status] = (statuses[status] or 0) + 1
  local seconds = tonumber(ngx.var.request_time)
  for i = 1, #bounds do
    if seconds <= bounds[i] then
      counts[i] = (counts[i] or 0) + 1
      return
    end
  end
end

function M.metrics()
  for status, count in pairs(statuses) do ngx.say('requests_total{status="', status, '"} ', count) end
  local sum = 0
  for i = 1, #bounds do
    sum = sum + (counts[i] or 0)
    ngx.say('request_seconds_bucket{le="', bounds[i], '"} ', sum)
  end
end

return M
