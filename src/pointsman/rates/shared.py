"""Counters in Redis or Valkey, for several hosts: one script counts in all windows or none.

The server's clock is the only one, and never goes back for a counter that has seen it.
Each window is a list of `end amount` steps, oldest first, and a total beside it.
"""

from collections.abc import Sequence

from redis.exceptions import RedisError

from pointsman.rates.counted import STEPS
from pointsman.rates.counters import CountersError
from pointsman.rates.pipeline import Pipeline
from pointsman.rates.rate import Rate, Window
from pointsman.rates.windows import NEVER, WARN, Near, Over, Use, Wanted

TIMEOUT = 1.0  # seconds for one answer
AWAY = 1.0  # seconds without a new attempt after a failure
SLACK = 2 * TIMEOUT  # what two answers may differ by in the time they take
_PREFIX = "pointsman:1:"

# KEYS: a list for each window; ARGV: how many, `seconds limit amount` for each, charge or not.
# Answers, as text: "ok" and the totals, or "over", the window's number and when it is free.
_EXPIRE = f"""
local clock = redis.call('TIME')
local time = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local function latest(key, step)
  local last = redis.call('LINDEX', key, -1)
  if not last then return time end
  return math.max(time, tonumber(string.match(last, '%S+')) - step)
end
local function expire(key, seconds, now)
  local total = tonumber(redis.call('GET', key .. ':total') or '0')
  while true do
    local first = redis.call('LINDEX', key, 0)
    if not first then return 0 end
    local stop, amount = string.match(first, '(%S+) (%S+)')
    if tonumber(stop) > now - seconds then return total end
    redis.call('LPOP', key)
    total = total - tonumber(amount)
    redis.call('SET', key .. ':total', total, 'KEEPTTL')
  end
end
local steps = {STEPS}
"""
_CHARGE = (
    _EXPIRE
    + """
local rows = {}
for number, key in ipairs(KEYS) do
  local at = (number - 1) * 3
  local seconds, limit = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local amount = tonumber(ARGV[at + 3])
  local step = seconds / steps
  local now = latest(key, step)
  local total = expire(key, seconds, now)
  if total + amount > limit then
    if amount > limit then return {'over', tostring(number), 'never'} end
    local left, free = total, now
    for _, row in ipairs(redis.call('LRANGE', key, 0, -1)) do
      if left + amount <= limit then break end
      local stop, there = string.match(row, '(%S+) (%S+)')
      left = left - tonumber(there)
      free = tonumber(stop) + seconds
    end
    return {'over', tostring(number), string.format('%.6f', free - time)}
  end
  rows[number] = {key, seconds, amount, step, now, total}
end
local totals = {'ok', string.format('%.6f', time)}
for number, row in ipairs(rows) do
  local key, seconds, amount, step, now, total = unpack(row)
  local stop = string.format('%.6f', math.max(math.ceil(now / step) * step, now) + 0.000001)
  local last = redis.call('LINDEX', key, -1)
  local before, there = string.match(last or '', '(%S+) (%S+)')
  if before and tonumber(before) >= tonumber(stop) then
    redis.call('LSET', key, -1, before .. ' ' .. (tonumber(there) + amount))
  else
    redis.call('RPUSH', key, stop .. ' ' .. amount)
  end
  redis.call('SET', key .. ':total', total + amount)
  redis.call('EXPIRE', key, seconds + 60)
  redis.call('EXPIRE', key .. ':total', seconds + 60)
  totals[number + 2] = tostring(total + amount)
end
return totals
"""
)
# ARGV: how many seconds ago it was at the most, then `seconds amount` for each window.
# Taken from the step of that time or the next; what may be out of its window is left,
# as other messages' charges stand there.
_TAKE_BACK = (
    _EXPIRE
    + """
for number, key in ipairs(KEYS) do
  local seconds, amount = tonumber(ARGV[number * 2]), tonumber(ARGV[number * 2 + 1])
  local now = latest(key, seconds / steps)
  local at = time - tonumber(ARGV[1])
  expire(key, seconds, now)
  local rows, taken = {}, 0
  if at > now - seconds then rows = redis.call('LRANGE', key, 0, -1) end
  for place, row in ipairs(rows) do
    local stop, there = string.match(row, '(%S+) (%S+)')
    local less = math.min(amount, tonumber(there))
    if tonumber(stop) >= at and less > 0 then
      redis.call('LSET', key, place - 1, stop .. ' ' .. (tonumber(there) - less))
      amount, taken = amount - less, taken + less
    end
  end
  if taken > 0 then redis.call('DECRBY', key .. ':total', taken) end
end
return 'ok'
"""
)
_USE = (
    _EXPIRE
    + """
local totals = {}
for number, key in ipairs(KEYS) do
  local seconds = tonumber(ARGV[number])
  totals[number] = tostring(expire(key, seconds, latest(key, seconds / steps)))
end
return totals
"""
)


class Shared:
    """Counters that several policy daemons share."""

    def __init__(self, url: str) -> None:
        self.near: list[Near] = []
        url = url.replace("valkeys://", "rediss://").replace("valkey://", "redis://")
        self.pipeline = Pipeline(url, TIMEOUT)
        self._away_until = 0.0

    async def charge(self, wanted: Wanted, recipients: int, now: float) -> Over | None:
        """Count a message in all its windows, or, if one has no room, in none.

        Raises CountersError while the server can't be asked.
        """
        rows = _rows(wanted)
        if not rows:
            return None
        amounts = [_amount(window, recipients) for _, window in rows]
        args = [
            number
            for (_, window), amount in zip(rows, amounts, strict=True)
            for number in (window.seconds, window.limit, amount)
        ]
        answer = await self._run(_CHARGE, rows, args, now)
        if answer[0] == "over":
            key, window = rows[int(answer[1]) - 1]
            free = NEVER if answer[2] == "never" else now + float(answer[2])
            return Over(key, window, free)
        for (key, window), total in zip(rows, answer[2:], strict=True):
            if int(total) >= WARN * window.limit:
                self.near.append(Near(key, window, int(total)))
        return None

    async def take_back(self, wanted: Wanted, recipients: int, at: float, now: float) -> None:
        """Return the charge, made `at` a time, of a message that never left."""
        rows = _rows(wanted)
        if rows:
            pairs = [(w.seconds, _amount(w, recipients)) for _, w in rows]
            args = [now - at + SLACK, *(number for pair in pairs for number in pair)]
            await self._run(_TAKE_BACK, rows, args, now)

    async def use(self, key: str, rate: Rate, now: float) -> list[Use]:
        """How full a counter's windows are."""
        if not rate:
            return []
        rows = [(key, window) for window in rate]
        totals = await self._run(_USE, rows, [window.seconds for window in rate], now)
        return [Use(window, int(total)) for window, total in zip(rate, totals, strict=True)]

    async def _run(
        self, script: str, rows: Sequence[tuple[str, Window]], args: Sequence[float], now: float
    ) -> list[str]:
        if now < self._away_until:
            raise CountersError("no answer a moment ago")
        keys = [f"{_PREFIX}{key}:{window.seconds}:{window.unit}" for key, window in rows]
        try:
            return await self.pipeline.run(script, keys, args)
        except (RedisError, OSError) as error:
            self._away_until = now + AWAY
            raise CountersError(f"{type(error).__name__}: {error}") from None


def _rows(wanted: Wanted) -> list[tuple[str, Window]]:
    return [(key, window) for key, rate in wanted for window in rate]


def _amount(window: Window, recipients: int) -> int:
    return recipients if window.unit == "recipients" else 1
