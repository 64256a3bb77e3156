// Runs AO modules as they are, and prints what they answer: one line of JSON for each message.
//
// The argument is a file, a list of `{module, messages: [{message, environment, timestamp}]}`. Imports answer what the device
// answers: every clock stands at the message's time, there are no files and no network.
import fs from "fs";

const PAGE = 65536, MEMORY_MOST = 256 << 20, SCRATCH_LEAST = 4096;
const BAD_DESCRIPTOR = 8, NOT_SEEKABLE = 70, NO_ENTRY = -44, NOT_THERE = -52;
const ABSENT = ["openat", "stat64", "lstat64", "newfstatat", "faccessat", "readlinkat", "unlinkat", "rmdir", "renameat"];
const LONG_JUMP = Symbol("long jump");
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
  "December"];

/** Makes a function of numbers one of the values that its WebAssembly type has. */
function typed(type, serve) {
  const result = type.results[0];
  return (...args) => {
    const answer = serve(...args.map(Number));
    return result === "i64" ? BigInt(Math.trunc(answer ?? 0)) : answer;
  };
}

/** Whether an answer is an error, or no answer at all. */
function isFailure(answer) {
  try {
    const { ok, response } = JSON.parse(answer);
    return ok === false || Boolean(response.Error);
  } catch {
    return true;
  }
}

/** A module with its host. */
class Original {
  constructor(path) {
    const module = new WebAssembly.Module(fs.readFileSync(path));
    this.types = Object.fromEntries(WebAssembly.Module.exports(module).map(({ name, type }) => [name, type]));
    const imports = {};
    for (const { module: from, name, type } of WebAssembly.Module.imports(module)) {
      imports[from] ??= {};
      imports[from][name] = typed(type, this.served(name));
    }
    this.exports = new WebAssembly.Instance(module, imports).exports;
    this.isWide = this.types.malloc.parameters[0] === "i64";
    this.scratch = { at: 0, size: 0 };
    this.isSetUp = false;
  }

  get bytes() { return new Uint8Array(this.exports.memory.buffer); }
  get view() { return new DataView(this.exports.memory.buffer); }

  /** Calls an export with numbers, if it is there. */
  call(name, ...args) {
    const type = this.types[name];
    if (!type) return undefined;
    return Number(this.exports[name](...args.map((arg, at) => (type.parameters[at] === "i64" ? BigInt(arg) : arg))) ?? 0);
  }

  word(at) { return this.isWide ? Number(this.view.getBigUint64(at, true)) : this.view.getUint32(at, true); }

  setWord(at, value) {
    if (this.isWide) this.view.setBigUint64(at, BigInt(value), true);
    else this.view.setUint32(at, value, true);
  }

  text(at) {
    const bytes = this.bytes;
    return Buffer.from(bytes.subarray(at, bytes.indexOf(0, at))).toString("utf8");
  }

  /** The function that an import of this name is. */
  served(name) {
    if (name.startsWith("invoke_")) return (...args) => this.invoke(name, ...args);
    if (name.startsWith("__syscall_")) return () => (ABSENT.includes(name.slice(10)) ? NO_ENTRY : NOT_THERE);
    if (name.startsWith("__asyncjs__")) return () => 0;
    const own = {
      fd_write: (fd, parts, count, written) => this.write(fd, parts, count, written),
      fd_read: (fd, parts, count, read) => (fd === 0 ? (this.setWord(read, 0), 0) : BAD_DESCRIPTOR),
      fd_close: () => 0,
      fd_seek: () => NOT_SEEKABLE,
      environ_get: () => 0,
      environ_sizes_get: (count, size) => (this.setWord(count, 0), this.setWord(size, 0), 0),
      emscripten_date_now: () => this.now,
      _emscripten_get_now_is_monotonic: () => 1,
      _emscripten_memcpy_js: (to, from, length) => void this.bytes.copyWithin(to, from, from + length),
      _emscripten_throw_longjmp: () => { throw LONG_JUMP; },
      _emscripten_system: (command) => (command === 0 ? 0 : NOT_THERE),
      emscripten_resize_heap: (size) => this.grow(size),
      exit: (code) => { throw new Error(`exits with ${code}`); },
      _abort_js: () => { throw new Error("aborts"); },
      _tzset_js: () => 0,
      _gmtime_js: (...args) => this.split(...args),
      _localtime_js: (...args) => this.split(...args),
      _mktime_js: (at) => this.make(at),
      strftime: (to, size, format, at) => this.format(to, size, format, at),
    }[name];
    if (!own) throw new Error(`there is no ${name}`);
    return own;
  }

  /** Calls a function of the table, from which a long jump leads back here. The letters of the name are its types. */
  invoke(name, index, ...args) {
    const stack = this.call("emscripten_stack_get_current");
    const [, ...letters] = name.slice("invoke_".length);
    const called = this.exports.__indirect_function_table.get(index);
    try {
      return Number(called(...args.map((arg, at) => (letters[at] === "j" ? BigInt(arg) : arg))) ?? 0);
    } catch (error) {
      if (error !== LONG_JUMP) throw error;
      this.call("_emscripten_stack_restore", stack);
      this.call("setThrew", 1, 0);
      return 0;
    }
  }

  write(fd, parts, count, written) {
    if (fd !== 1 && fd !== 2) return BAD_DESCRIPTOR;
    const width = this.isWide ? 8 : 4;
    let sum = 0;
    for (let part = 0; part < count; part++) sum += this.word(parts + part * 2 * width + width);
    this.setWord(written, sum);
    return 0;
  }

  grow(size) {
    const held = this.bytes.length;
    const goal = Math.max(size, Math.min(held + Math.floor(held / 5), MEMORY_MOST));
    if (goal > MEMORY_MOST) throw new Error("takes too much memory");
    this.exports.memory.grow(Math.ceil((goal - held) / PAGE));
    return 1;
  }

  calendar(at) {
    const [second, minute, hour, day, month, year] = [0, 4, 8, 12, 16, 20].map((field) => this.view.getInt32(at + field, true));
    return new Date(Date.UTC(year + 1900, month, day, hour, minute, second));
  }

  setCalendar(at, date) {
    const year = date.getUTCFullYear(), start = Date.UTC(year, 0, 1);
    const fields = [date.getUTCSeconds(), date.getUTCMinutes(), date.getUTCHours(), date.getUTCDate(), date.getUTCMonth(),
      year - 1900, date.getUTCDay(), Math.floor((date.getTime() - start) / 86400000), 0];
    fields.forEach((value, field) => this.view.setInt32(at + 4 * field, value, true));
  }

  /** Seconds come as two halves where parameters have no 64 bits. */
  split(...args) {
    const at = args.pop();
    const seconds = args.length === 1 ? args[0] : (args[0] >>> 0) + args[1] * 2 ** 32;
    this.setCalendar(at, new Date(seconds * 1000));
    return 0;
  }

  make(at) {
    const date = this.calendar(at), seconds = date.getTime() / 1000;
    this.setCalendar(at, date);
    this.call("_emscripten_tempret_set", Math.floor(seconds / 2 ** 32));
    return seconds;
  }

  format(to, size, format, at) {
    const date = this.calendar(at), two = (value) => String(value).padStart(2, "0");
    const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
    const [day, month] = [DAYS[date.getUTCDay()], MONTHS[date.getUTCMonth()]];
    const known = {
      a: day.slice(0, 3), A: day, b: month.slice(0, 3), B: month, d: two(date.getUTCDate()), m: two(date.getUTCMonth() + 1),
      c: `${day.slice(0, 3)} ${month.slice(0, 3)} ${two(date.getUTCDate())} ${clock} ${date.getUTCFullYear()}`,
      H: clock.slice(0, 2), M: clock.slice(3, 5), S: clock.slice(6), T: clock, Y: String(date.getUTCFullYear()), "%": "%",
    };
    const text = Buffer.from(this.text(format).replace(/%(.)/g, (whole, letter) => known[letter] ?? whole) + "\0");
    if (text.length > size) return 0;
    this.bytes.set(text, to);
    return text.length - 1;
  }

  /** What the module answers to a message. Where that is an error, the module is as it was before. */
  handle({ message, environment, timestamp }) {
    this.now = timestamp;
    const before = this.bytes.slice(), scratch = { ...this.scratch };
    if (!this.isSetUp) {
      this.call("emscripten_stack_init");
      if (this.call("_initialize") === undefined) this.call("__wasm_call_ctors");
      this.isSetUp = true;
    }
    const texts = [message, environment].map((text) => Buffer.from(`${text}\0`));
    this.makeRoom(texts[0].length + texts[1].length);
    const places = [this.scratch.at, this.scratch.at + texts[0].length];
    places.forEach((place, at) => this.bytes.set(texts[at], place));
    const answer = this.text(this.call("handle", ...places));
    if (isFailure(answer)) {
      const bytes = this.bytes;
      bytes.fill(0);
      bytes.set(before);
      this.scratch = scratch;
    }
    return answer;
  }

  makeRoom(wanted) {
    if (this.scratch.size >= wanted) return;
    const size = 2 ** Math.ceil(Math.log2(Math.max(wanted, SCRATCH_LEAST)));
    if (this.scratch.size > 0) this.call("free", this.scratch.at);
    this.scratch = { at: this.call("malloc", size), size };
  }
}

for (const { module, messages } of JSON.parse(fs.readFileSync(process.argv[1], "utf8"))) {
  const original = new Original(module);
  for (const message of messages) {
    console.log(JSON.stringify(original.handle(message)));
  }
}
