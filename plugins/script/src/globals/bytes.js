// atob and btoa (HTML), and of Web Crypto what is random.
((native) => {
  const INTEGERS = [
    Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    BigInt64Array, BigUint64Array,
  ];

  const invalid = (message) => Object.assign(new Error(message), { name: "InvalidCharacterError" });

  const btoa = (text) => {
    const data = `${text}`;
    const units = Array.from({ length: data.length }, (_, index) => data.charCodeAt(index));
    if (units.some((unit) => unit > 0xff)) {
      throw invalid("btoa: the text has characters beyond Latin-1; encode it with TextEncoder first");
    }
    return native.toBase64(Uint8Array.from(units));
  };

  const atob = (text) => {
    let data = `${text}`.replace(/[\t\n\f\r ]/g, "");
    if (data.length % 4 === 0) data = data.replace(/==?$/, "");
    const bytes = data.length % 4 === 1 || data.includes("=") ? undefined : native.fromBase64(data);
    if (bytes === undefined) throw invalid("atob: the text is not base64");
    return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  };

  const crypto = {
    getRandomValues(array) {
      if (!INTEGERS.some((kind) => array instanceof kind)) {
        throw new TypeError("crypto.getRandomValues: an array of integers is needed");
      }
      if (array.byteLength > 65536) {
        const error = new Error("crypto.getRandomValues: 65,536 bytes are the most");
        throw Object.assign(error, { name: "QuotaExceededError" });
      }
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      bytes.set(native.random(bytes.length));
      return array;
    },

    randomUUID() {
      const bytes = native.random(16);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    },
  };

  return { atob, btoa, crypto };
})
