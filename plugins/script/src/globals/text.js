// TextEncoder and TextDecoder (WHATWG Encoding), for UTF-8 alone.
((native) => {
  const LABELS = ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"];

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }

    encode(text = "") {
      return native.encode(text);
    }

    encodeInto(text, into) {
      let [read, written] = [0, 0];
      for (const character of `${text}`) {
        const bytes = native.encode(character);
        if (written + bytes.length > into.length) break;
        into.set(bytes, written);
        written += bytes.length;
        read += character.length;
      }
      return { read, written };
    }
  }

  class TextDecoder {
    #fatal;
    #ignoreBOM;
    #held = new Uint8Array();
    #started = false;

    constructor(label = "utf-8", options = {}) {
      if (!LABELS.includes(`${label}`.trim().toLowerCase())) {
        throw new RangeError(`TextDecoder: a script can decode "utf-8", not "${label}"`);
      }
      this.#fatal = Boolean(options.fatal);
      this.#ignoreBOM = Boolean(options.ignoreBOM);
    }

    get encoding() {
      return "utf-8";
    }

    get fatal() {
      return this.#fatal;
    }

    get ignoreBOM() {
      return this.#ignoreBOM;
    }

    decode(input = new Uint8Array(), options = {}) {
      let bytes = ArrayBuffer.isView(input)
        ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
        : new Uint8Array(input);
      if (this.#held.length > 0) {
        const whole = new Uint8Array(this.#held.length + bytes.length);
        whole.set(this.#held);
        whole.set(bytes, this.#held.length);
        bytes = whole;
        this.#held = new Uint8Array();
      }
      if (options.stream) {
        const end = bytes.length - native.incomplete(bytes);
        this.#held = bytes.slice(end);
        bytes = bytes.subarray(0, end);
      }
      let text = native.decode(bytes, this.#fatal);
      if (text === undefined) {
        this.#started = false;
        throw new TypeError("TextDecoder: the bytes are not UTF-8");
      }
      if (!this.#started && !this.#ignoreBOM && text.startsWith("\uFEFF")) text = text.slice(1);
      this.#started = Boolean(options.stream) && (this.#started || bytes.length > 0);
      return text;
    }
  }

  return { TextEncoder, TextDecoder };
})
