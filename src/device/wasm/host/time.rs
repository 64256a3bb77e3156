//! The calendar of Emscripten's C library. The only time zone is UTC.

use super::access::{memory, read, read_text, write};
use super::{Args, Caller, Reply, call_export, charge};

const DAY: i64 = 86_400;
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Years beyond this are as good as this.
const YEARS: i64 = 1 << 31;

/// `struct tm`: a date and a time of day, as the C library spells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Calendar {
    second: i64,
    minute: i64,
    hour: i64,
    /// From 1.
    day: i64,
    /// From 0.
    month: i64,
    /// Since 1900.
    year: i64,
    /// From Sunday, 0.
    weekday: i64,
    /// From 0.
    yearday: i64,
}

impl Calendar {
    /// The date and time `seconds` after the beginning of 1970.
    fn of(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Years are counted from March on, so that the day that is there every fourth year is the last.
        let shifted = days.saturating_add(719_468);
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let month = (shifted_month + 2) % 12;
        let year = year_of_era + era * 400 + i64::from(month < 2);
        Self {
            second: rest % 60,
            minute: rest / 60 % 60,
            hour: rest / 3600,
            day: of_year - (153 * shifted_month + 2) / 5 + 1,
            month,
            year: year - 1900,
            weekday: (days.rem_euclid(7) + 4) % 7,
            yearday: days - days_before(year, 0),
        }
    }

    /// Seconds since the beginning of 1970. Fields may be out of their range, and carry over.
    fn seconds(&self) -> i64 {
        let year = (self.year + 1900 + self.month.div_euclid(12)).clamp(-YEARS, YEARS);
        let days = days_before(year, self.month.rem_euclid(12)) + self.day - 1;
        ((days * 24 + self.hour) * 60 + self.minute) * 60 + self.second
    }

    fn read(caller: &mut Caller<'_>, at: u64) -> wasmtime::Result<Self> {
        let mut fields = [0i64; 8];
        let bytes = read(caller, at, 32)?;
        for (field, bytes) in fields.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *field = i64::from(i32::from_le_bytes(*bytes));
        }
        let [second, minute, hour, day, month, year, weekday, yearday] = fields;
        Ok(Self { second, minute, hour, day, month, year, weekday, yearday })
    }

    fn write(&self, caller: &mut Caller<'_>, at: u64) -> wasmtime::Result<()> {
        let Self { second, minute, hour, day, month, year, weekday, yearday } = *self;
        let mut bytes = Vec::with_capacity(36);
        for field in [second, minute, hour, day, month, year, weekday, yearday, 0] {
            bytes.extend_from_slice(&(field as i32).to_le_bytes());
        }
        write(caller, at, &bytes)
    }

    /// The text of one conversion. None: there is no such conversion.
    fn field(&self, conversion: u8) -> Option<String> {
        let name = |names: &[&'static str], index: i64| {
            usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or("?")
        };
        let short = |text: &str| text.chars().take(3).collect::<String>();
        let year = self.year + 1900;
        let hour12 = if self.hour % 12 == 0 { 12 } else { self.hour % 12 };
        Some(match conversion {
            b'a' => short(name(&DAYS, self.weekday)),
            b'A' => name(&DAYS, self.weekday).to_owned(),
            b'b' | b'h' => short(name(&MONTHS, self.month)),
            b'B' => name(&MONTHS, self.month).to_owned(),
            b'c' => self.text(b"%a %b %d %H:%M:%S %Y"),
            b'C' => format!("{:02}", year.div_euclid(100)),
            b'd' => format!("{:02}", self.day),
            b'D' | b'x' => self.text(b"%m/%d/%y"),
            b'e' => format!("{:2}", self.day),
            b'F' => self.text(b"%Y-%m-%d"),
            b'g' => format!("{:02}", self.week_year().0.rem_euclid(100)),
            b'G' => self.week_year().0.to_string(),
            b'H' => format!("{:02}", self.hour),
            b'I' => format!("{hour12:02}"),
            b'j' => format!("{:03}", self.yearday + 1),
            b'm' => format!("{:02}", self.month + 1),
            b'M' => format!("{:02}", self.minute),
            b'n' => "\n".to_owned(),
            b'p' => if (0..12).contains(&self.hour) { "AM" } else { "PM" }.to_owned(),
            b'r' => self.text(b"%I:%M:%S %p"),
            b'R' => self.text(b"%H:%M"),
            b's' => self.seconds().to_string(),
            b'S' => format!("{:02}", self.second),
            b't' => "\t".to_owned(),
            b'T' | b'X' => self.text(b"%H:%M:%S"),
            b'u' => (if self.weekday == 0 { 7 } else { self.weekday }).to_string(),
            b'U' => format!("{:02}", (self.yearday + 7 - self.weekday) / 7),
            b'V' => format!("{:02}", self.week_year().1),
            b'w' => self.weekday.to_string(),
            b'W' => format!("{:02}", (self.yearday + 7 - (self.weekday + 6) % 7) / 7),
            b'y' => format!("{:02}", year.rem_euclid(100)),
            b'Y' => year.to_string(),
            b'z' => "+0000".to_owned(),
            b'Z' => "UTC".to_owned(),
            b'%' => "%".to_owned(),
            _ => return None,
        })
    }

    /// The year that the week belongs to (the one that its Thursday is in), and the week's number in it, from 1.
    fn week_year(&self) -> (i64, i64) {
        let year = self.year + 1900;
        let thursday = self.yearday - (self.weekday + 6) % 7 + 3;
        let length = |year| days_before(year + 1, 0) - days_before(year, 0);
        if thursday < 0 {
            (year - 1, (thursday + length(year - 1)) / 7 + 1)
        } else if thursday >= length(year) {
            (year + 1, 1)
        } else {
            (year, thursday / 7 + 1)
        }
    }

    fn text(&self, format: &[u8]) -> String {
        String::from_utf8_lossy(&self.bytes(format)).into_owned()
    }

    /// The text of a format. Conversions that are not known stay as they are; `E` and `O`, which ask for another way of writing
    /// that there is not here, are left out.
    fn bytes(&self, format: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(format.len() * 2);
        let mut rest = format;
        while let [byte, behind @ ..] = rest {
            rest = behind;
            if *byte != b'%' {
                out.push(*byte);
                continue;
            }
            let conversion = match rest {
                [b'E' | b'O', conversion, ..] | [conversion, ..] => *conversion,
                [] => b'%',
            };
            let length = if matches!(rest, [b'E' | b'O', _, ..]) { 2 } else { 1 };
            match self.field(conversion) {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => {
                    out.push(b'%');
                    out.extend_from_slice(rest.get(..length).unwrap_or(rest));
                }
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        out
    }
}

/// Days from the beginning of 1970 to that of this month, which counts from 0.
fn days_before(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month < 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 10) % 12) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `strftime(text, size, format, calendar)`: how long the text is, or 0 if it does not fit.
pub(super) fn format(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let (to, size) = (args.unsigned(0), args.unsigned(1));
    let format = read_text(caller, args.unsigned(2))?;
    let calendar = Calendar::read(caller, args.unsigned(3))?;
    let mut text = calendar.bytes(&format);
    charge(caller, text.len() as u64)?;
    let length = text.len() as u64;
    if length >= size {
        return Ok(Reply::Whole(0));
    }
    text.push(0);
    write(caller, to, &text)?;
    Ok(Reply::Whole(length as i64))
}

/// `mktime(calendar)`: its seconds; the calendar's fields are brought into their ranges.
pub(super) fn make(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let at = args.unsigned(0);
    let seconds = Calendar::read(caller, at)?.seconds();
    Calendar::of(seconds).write(caller, at)?;
    // Where functions return no 64 bits, the upper half goes by a road of its own.
    call_export(caller, &["_emscripten_tempret_set", "setTempRet0"], &[seconds >> 32])?;
    Ok(Reply::Whole(seconds))
}

/// `gmtime(seconds, calendar)`. Where parameters have no 64 bits, the seconds come in two.
pub(super) fn split(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let (seconds, at) = match args.0.len() {
        3 => ((args.unsigned(0) | args.unsigned(1) << 32).cast_signed(), args.unsigned(2)),
        _ => (args.signed(0), args.unsigned(1)),
    };
    Calendar::of(seconds.clamp(-YEARS * 366 * DAY, YEARS * 366 * DAY)).write(caller, at)?;
    Ok(Reply::Whole(0))
}

/// `tzset(offset, has_summer_time, name, name_in_summer)`; older libraries pass no buffers for the names.
pub(super) fn zone(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let is_wide = caller.data().is_wide;
    write(caller, args.unsigned(0), if is_wide { &[0; 8] } else { &[0; 4] })?;
    write(caller, args.unsigned(1), &[0; 4])?;
    if args.0.len() >= 4 {
        write(caller, args.unsigned(2), b"UTC\0")?;
        write(caller, args.unsigned(3), b"UTC\0")?;
    }
    memory(caller).map(|_| Reply::Whole(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let of = |seconds| Calendar::of(seconds).text(b"%F %T %a %j %G-W%V-%u %U %W");
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 Thu 001 1970-W01-4 00 00"),
            (951_782_400, "2000-02-29 00:00:00 Tue 060 2000-W09-2 09 09"),
            (1_767_225_599, "2025-12-31 23:59:59 Wed 365 2026-W01-3 52 52"),
            (1_230_768_000, "2009-01-01 00:00:00 Thu 001 2009-W01-4 00 00"),
            (1_262_304_000, "2010-01-01 00:00:00 Fri 001 2009-W53-5 00 00"),
            (-1, "1969-12-31 23:59:59 Wed 365 1970-W01-3 52 52"),
            (-2_203_891_200, "1900-03-01 00:00:00 Thu 060 1900-W09-4 08 09"),
        ] {
            assert_eq!(of(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn a_calendar_is_its_seconds_and_back() {
        for seconds in (-4_000_000_000i64..8_000_000_000).step_by(86_399 * 13) {
            assert_eq!(Calendar::of(seconds).seconds(), seconds);
        }
        let carried = Calendar { month: 13, day: 32, hour: -1, year: 125, ..Calendar::default() };
        assert_eq!(Calendar::of(carried.seconds()).text(b"%F %T"), "2026-03-03 23:00:00");
    }

    #[test]
    fn formats_hold_what_is_not_known() {
        let calendar = Calendar::of(45_296);
        assert_eq!(calendar.text(b"%I %p %Ey %Q %EQ 100%% %"), "12 PM 70 %Q %EQ 100% %");
    }
}
