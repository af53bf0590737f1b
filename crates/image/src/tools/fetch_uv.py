"""Fetches uv as a wheel from the configured package index. Standard library only; runs on Python 3.9 and later.

Reads one JSON object from standard input: version, file, sha256 (the pin), arch, dest, default_index.
Reads uv's own environment variables for where to look: UV_DEFAULT_INDEX, UV_INDEX, UV_EXTRA_INDEX_URL, UV_FIND_LINKS,
UV_NO_INDEX, UV_INSECURE_HOST, UV_HTTP_TIMEOUT, SSL_CERT_FILE, and the usual proxy variables.
Writes the executable to dest, and one JSON object as the last line of standard output: version, source.
Prefers the pinned wheel; an index that does not have it gives its newest static wheel, checked with its own hash.
"""

import base64
import hashlib
import html.parser
import json
import netrc
import os
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
ATTEMPTS = 3


class Failure(Exception):
    """Something the user can read."""


class Candidate:
    """A wheel of uv somewhere."""

    def __init__(self, url, sha256, yanked=False):
        self.url = url
        self.sha256 = sha256
        self.yanked = yanked
        path = urllib.parse.urlsplit(url).path if "://" in url else url
        self.file = urllib.parse.unquote(path.rsplit("/", 1)[-1])

    def version(self):
        """The version as numbers, or None when this is no final release of uv."""
        match = re.match(r"uv-(\d+(?:\.\d+)*)-py3-none-", self.file)
        return tuple(int(part) for part in match.group(1).split(".")) if match else None

    def static(self, arch):
        """Whether this wheel's program runs on any Linux of this architecture."""
        tags = self.file[: -len(".whl")].split("-")[-1] if self.file.endswith(".whl") else ""
        return any(tag.startswith("musllinux_") and tag.endswith("_" + arch) for tag in tags.split("."))


class Page(html.parser.HTMLParser):
    """The links of a PEP 503 page."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.found = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "base" and attrs.get("href"):
            self.base = urllib.parse.urljoin(self.base, attrs["href"])
        if tag == "a" and attrs.get("href"):
            url, _, fragment = urllib.parse.urljoin(self.base, attrs["href"]).partition("#")
            sha256 = fragment[len("sha256=") :] if fragment.startswith("sha256=") else None
            self.found.append(Candidate(url, sha256, "data-yanked" in attrs))


def words(name):
    return [word for word in re.split(r"[\s,]+", os.environ.get(name, "")) if word]


def truthy(name):
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on")


def without_name(index):
    """uv allows `name=url`."""
    match = re.match(r"[A-Za-z0-9_-]+=(.*)", index)
    return match.group(1) if match else index


def credentials(parts):
    if parts.username is not None:
        return urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
    try:
        found = netrc.netrc().authenticators(parts.hostname or "")
    except (OSError, netrc.NetrcParseError):
        found = None
    return (found[0] or "", found[2] or "") if found else None


def open_url(url, accept="*/*"):
    parts = urllib.parse.urlsplit(url)
    login = credentials(parts) if parts.scheme in ("http", "https") else None
    if parts.username is not None:
        host = parts.netloc.rsplit("@", 1)[1]
        url = urllib.parse.urlunsplit(parts._replace(netloc=host))
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "pilotlight"})
    if login:
        token = base64.b64encode(":".join(login).encode()).decode()
        request.add_unredirected_header("Authorization", "Basic " + token)
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or None)
    if {parts.hostname, "%s:%s" % (parts.hostname, parts.port)} & set(words("UV_INSECURE_HOST")):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    timeout = float(os.environ.get("UV_HTTP_TIMEOUT") or 60)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return urllib.request.urlopen(request, timeout=timeout, context=context)
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == ATTEMPTS:
                raise
        except OSError:
            if attempt == ATTEMPTS:
                raise


def links(url):
    with open_url(url, ACCEPT) as answer:
        body = answer.read()
        kind = answer.headers.get_content_type()
        base = answer.geturl()
    if kind == "application/vnd.pypi.simple.v1+json":
        return [
            Candidate(
                urllib.parse.urljoin(base, entry["url"]),
                (entry.get("hashes") or {}).get("sha256"),
                bool(entry.get("yanked")),
            )
            for entry in json.loads(body).get("files", [])
        ]
    page = Page(base)
    page.feed(body.decode("utf-8", "replace"))
    return page.found


def local(directory):
    return [Candidate(os.path.join(directory, name), None) for name in sorted(os.listdir(directory))]


def sources(default_index):
    """Where to look, in order: (name for messages, function that lists wheels)."""
    for link in words("UV_FIND_LINKS"):
        path = urllib.request.url2pathname(urllib.parse.urlsplit(link).path) if link.startswith("file:") else link
        if "://" not in path and os.path.isdir(path):
            yield path, lambda path=path: local(path)
        elif "://" in link:
            yield link, lambda link=link: links(link)
    if truthy("UV_NO_INDEX"):
        return
    indexes = words("UV_INDEX") + words("UV_EXTRA_INDEX_URL") + [os.environ.get("UV_DEFAULT_INDEX") or default_index]
    for index in indexes:
        page = without_name(index).rstrip("/") + "/uv/"
        yield page, lambda page=page: links(page)


def redacted(url):
    return re.sub(r"//[^/@]*@", "//", str(url))


def choose(pin, default_index):
    """The pinned wheel where the first source has it, else the newest static one of all sources."""
    others, failures = [], []
    for name, listing in sources(default_index):
        try:
            found = [wheel for wheel in listing() if wheel.version() and wheel.static(pin["arch"])]
        except (OSError, ValueError) as error:
            failures.append("%s: %s" % (redacted(name), redacted(error)))
            continue
        for wheel in found:
            if wheel.file == pin["file"]:
                wheel.sha256 = pin["sha256"]
                return wheel
        others += [wheel for wheel in found if not wheel.yanked]
    if others:
        return max(others, key=Candidate.version)
    reason = "; ".join(failures) or "no source has a wheel of uv for Linux on %s" % pin["arch"]
    raise Failure("cannot fetch uv: " + reason)


def download(wheel, to):
    digest = hashlib.sha256()
    source = open_url(wheel.url) if "://" in wheel.url else open(wheel.url, "rb")
    with source, open(to, "wb") as target:
        while True:
            block = source.read(1 << 20)
            if not block:
                break
            digest.update(block)
            target.write(block)
    if wheel.sha256 and digest.hexdigest() != wheel.sha256.lower():
        raise Failure("%s has sha256 %s, expected %s" % (wheel.file, digest.hexdigest(), wheel.sha256))
    if not wheel.sha256 and "://" in wheel.url and not wheel.url.startswith(("https:", "file:")):
        raise Failure("%s comes without a hash over plain http" % wheel.file)


def extract(archive, dest):
    with zipfile.ZipFile(archive) as files:
        member = next((name for name in files.namelist() if name.endswith(".data/scripts/uv")), None)
        if member is None:
            raise Failure("%s holds no program" % os.path.basename(archive))
        with files.open(member) as source, open(dest, "wb") as target:
            while True:
                block = source.read(1 << 20)
                if not block:
                    break
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
    os.chmod(dest, 0o755)


def main():
    pin = json.load(sys.stdin)
    wheel = choose(pin, pin["default_index"])
    print("downloading " + wheel.file, flush=True)
    archive = pin["dest"] + ".whl"
    try:
        download(wheel, archive)
        extract(archive, pin["dest"])
    finally:
        if os.path.exists(archive):
            os.unlink(archive)
    version = ".".join(str(part) for part in wheel.version())
    print(json.dumps({"version": version, "source": redacted(wheel.url)}))


if __name__ == "__main__":
    try:
        main()
    except (Failure, OSError, ValueError, zipfile.BadZipFile) as error:
        sys.exit(redacted(error))
