// URL and URLSearchParams (WHATWG URL).
((native) => {
  let follow;
  let refill;

  class URLSearchParams {
    #pairs;
    #changed = () => {};

    static {
      follow = (params, changed) => {
        params.#changed = changed;
      };
      refill = (params, query) => {
        params.#pairs = native.parseForm(query);
      };
    }

    constructor(init = "") {
      if (init === null || (typeof init !== "object" && typeof init !== "function")) {
        this.#pairs = native.parseForm(`${init}`.replace(/^\?/, ""));
        return;
      }
      const pairs = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
      this.#pairs = Array.from(pairs, (pair) => {
        const [name, value, ...more] = pair;
        if (value === undefined || more.length > 0) {
          throw new TypeError("URLSearchParams: each pair is a name and a value");
        }
        return [`${name}`, `${value}`];
      });
    }

    get size() {
      return this.#pairs.length;
    }

    append(name, value) {
      this.#pairs.push([`${name}`, `${value}`]);
      this.#changed();
    }

    delete(name, value) {
      this.#pairs = this.#pairs.filter(
        (pair) => pair[0] !== `${name}` || (value !== undefined && pair[1] !== `${value}`),
      );
      this.#changed();
    }

    get(name) {
      return this.#pairs.find((pair) => pair[0] === `${name}`)?.[1] ?? null;
    }

    getAll(name) {
      return this.#pairs.filter((pair) => pair[0] === `${name}`).map((pair) => pair[1]);
    }

    has(name, value) {
      return this.#pairs.some(
        (pair) => pair[0] === `${name}` && (value === undefined || pair[1] === `${value}`),
      );
    }

    set(name, value) {
      const first = this.#pairs.findIndex((pair) => pair[0] === `${name}`);
      if (first === -1) {
        this.#pairs.push([`${name}`, `${value}`]);
      } else {
        this.#pairs[first] = [`${name}`, `${value}`];
        this.#pairs = this.#pairs.filter((pair, index) => index <= first || pair[0] !== `${name}`);
      }
      this.#changed();
    }

    sort() {
      this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
      this.#changed();
    }

    forEach(callback, self) {
      for (const [name, value] of this) callback.call(self, value, name, this);
    }

    *entries() {
      for (const [name, value] of this.#pairs) yield [name, value];
    }

    *keys() {
      for (const [name] of this.#pairs) yield name;
    }

    *values() {
      for (const [, value] of this.#pairs) yield value;
    }

    [Symbol.iterator]() {
      return this.entries();
    }

    toString() {
      return native.writeForm(this.#pairs);
    }
  }

  const parse = (url, base) =>
    native.parseUrl(`${url}`, base === undefined ? undefined : `${base}`);

  class URL {
    #parts;
    #params;

    static {
      for (const part of ["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"]) {
        Object.defineProperty(URL.prototype, part, {
          get() {
            return this.#parts[part];
          },
          set(value) {
            this.#parts = native.changeUrl(this.#parts.href, part, `${value}`);
            if (part === "search") this.#refill();
          },
          enumerable: true,
          configurable: true,
        });
      }
    }

    static canParse(url, base) {
      return parse(url, base) !== undefined;
    }

    static parse(url, base) {
      return URL.canParse(url, base) ? new URL(url, base) : null;
    }

    constructor(url, base) {
      this.#parts = parse(url, base);
      if (this.#parts === undefined) throw new TypeError("URL: this is no valid URL");
    }

    get href() {
      return this.#parts.href;
    }

    set href(value) {
      const parts = parse(value);
      if (parts === undefined) throw new TypeError("URL: this is no valid URL");
      this.#parts = parts;
      this.#refill();
    }

    get origin() {
      return this.#parts.origin;
    }

    get searchParams() {
      if (this.#params === undefined) {
        this.#params = new URLSearchParams();
        this.#refill();
        follow(this.#params, () => {
          this.#parts = native.changeUrl(this.#parts.href, "search", this.#params.toString());
        });
      }
      return this.#params;
    }

    #refill() {
      if (this.#params !== undefined) refill(this.#params, this.#parts.search.slice(1));
    }

    toString() {
      return this.href;
    }

    toJSON() {
      return this.href;
    }
  }

  return { URL, URLSearchParams };
})
