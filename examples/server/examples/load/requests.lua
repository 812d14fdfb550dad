-- What wrk sends: registrations of browsers that were never seen before, or reads of what earlier ones registered.
-- Arguments: kind (registrations or reads), run, the push service's origin, p256dh, auth.

local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
    local out = {}
    for at = 1, #text, 3 do
        local a, b, c = text:byte(at, at + 2)
        local bits = a * 65536 + (b or 0) * 256 + (c or 0)
        for place, divisor in ipairs({262144, 4096, 64, 1}) do
            local digit = math.floor(bits / divisor) % 64
            local filled = place <= 2 or (place == 3 and b) or (place == 4 and c)
            out[#out + 1] = filled and letters:sub(digit + 1, digit + 1) or "="
        end
    end
    return table.concat(out)
end

local kind, run, origin, p256dh, auth
local sent = 0

function init(args)
    kind, run, origin, p256dh, auth = args[1], args[2], args[3], args[4], args[5]
end

local function headers(user)
    return {["Authorization"] = "Basic " .. base64(user .. ":load"), ["Content-Type"] = "application/json"}
end

-- A browser's first visit: its subscription is stored, and its user joins a channel.
local function registration()
    local user = string.format("%s-%d-%d", run, number, math.floor(sent / 2))
    if sent % 2 == 1 then
        return wrk.format("PUT", "/v0/channels/load/registration", headers(user))
    end
    local endpoint = string.format("%s/wpush/load/%s", origin, user)
    local body = string.format(
        '{"data":{"endpoint":"%s","keys":{"p256dh":"%s","auth":"%s"}}}', endpoint, p256dh, auth)
    return wrk.format("POST", "/v0/subscriptions", headers(user), body)
end

-- A page that is loaded again: who am I, what do I have, where am I.
local reads = {"/v0/", "/v0/subscriptions", "/v0/channels", "/v0/channels/news"}

local function read()
    -- The members of the large channel.
    local user = string.format("reader-%d", sent % 64)
    return wrk.format("GET", reads[sent % #reads + 1], headers(user))
end

function request()
    local made = kind == "reads" and read() or registration()
    sent = sent + 1
    return made
end

-- One line of numbers for the programme that started this: microseconds and counts.
function done(summary, latency, _)
    local failed = summary.errors
    io.write(string.format("result %d %d %d %d %d %d %d %d %d\n",
        summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
        failed.status, failed.timeout, failed.connect + failed.read + failed.write))
end
