"""The wall clock that phantom_ci believes in (PHANTOM_CI_TEST_CLOCK, see base/clock.h)."""
import datetime
import time

NIGHT = datetime.datetime.now(datetime.timezone.utc).replace(hour=3, minute=0, second=0, microsecond=0)


def set_clock(phantom, days, hours=0, seconds=0):
    """So much after three o'clock of the first night."""
    wanted = NIGHT + datetime.timedelta(days=days, hours=hours, seconds=seconds)
    path = phantom.directory / "clock"
    new = phantom.directory / "clock.new"
    new.write_text(str(int(wanted.timestamp() * 1000) - int(time.time() * 1000)))
    new.rename(path)
    phantom.env["PHANTOM_CI_TEST_CLOCK"] = str(path)


def look(phantom):
    """One more turn of the daemon's loop, with the clock as it is now."""
    before = phantom.repo()["last_look"]
    phantom.cli("poll", check=0)
    phantom.wait_until(lambda: phantom.repo()["last_look"] != before and phantom.repo()["next_look"], what="a look")
