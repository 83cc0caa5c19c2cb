"""The Python side of docs/porting.md: each block of the guide stands here as it is there."""

import asyncio

from bocadillo import App, HTTPError, Redirect, Router, configure

app = App()
configure(app)

# What the tasks say; asked for by the comparison.
ran = []


@app.route("/_ran")
async def _ran(req, res):
    await asyncio.sleep(0.05)
    res.json = sorted(ran)
    ran.clear()


# -- routes --


@app.route("/hello")
async def hello(req, res):
    res.text = "hello"


@app.route("/both", methods=["get", "post"])
async def both(req, res):
    res.text = req.method


@app.route("/items/{id}")
async def item(req, res, id: int):
    res.json = {"id": id}


@app.route("/files/{rest:path}")
async def files(req, res, rest):
    res.text = rest


@app.route("/slash/")
async def slash(req, res):
    res.text = "slash"


router = Router()


@router.route("/list")
async def listing(req, res):
    res.json = [1, 2]


app.include_router(router, prefix="/v1")


@app.route("/things")
class Things:
    async def get(self, req, res):
        res.text = "all"

    async def post(self, req, res):
        res.status_code = 201


# -- requests --


@app.route("/query")
async def query(req, res):
    res.text = req.query_params.get("q", "nothing")


@app.route("/search")
async def search(req, res, page: int = 1):
    res.json = {"page": page}


@app.route("/headers")
async def headers(req, res):
    res.text = req.headers.get("X-Who", "nobody")


@app.route("/cookies")
async def cookies(req, res):
    res.text = req.cookies.get("theme", "light")


@app.route("/body", methods=["post"])
async def body(req, res):
    res.text = str(len(await req.body()))


@app.route("/json", methods=["post"])
async def read_json(req, res):
    order = await req.json()
    res.json = {"email": order["email"]}


@app.route("/form", methods=["post"])
async def form(req, res):
    form = await req.form()
    res.text = form["name"]


@app.route("/upload", methods=["post"])
async def upload(req, res):
    form = await req.form()
    content = await form["file"].read()
    res.text = f"{form['file'].filename}: {len(content)}"


@app.route("/chunks", methods=["post"])
async def chunks(req, res):
    length = 0
    async for chunk in req:
        length += len(chunk)
    res.text = str(length)


# -- responses --


@app.route("/html")
async def html(req, res):
    res.html = "<h1>Hello</h1>"


@app.route("/bytes")
async def content(req, res):
    res.content = b"\x00\x01"
    res.headers["content-type"] = "application/octet-stream"


@app.route("/status", methods=["post"])
async def created(req, res):
    res.status_code = 201
    res.headers["x-id"] = "7"
    res.json = {"id": 7}


@app.route("/none", methods=["delete"])
async def no_content(req, res):
    res.status_code = 204


@app.route("/attachment")
async def attachment(req, res):
    res.text = "a,b"
    res.attachment = "table.csv"


@app.route("/stream")
async def stream(req, res):
    @res.stream
    async def numbers():
        for number in range(3):
            yield f"{number}\n"


@app.route("/last")
async def last(req, res):
    res.text = "first"
    res.json = "last"


# -- errors --


@app.route("/forbidden")
async def forbidden(req, res):
    raise HTTPError(403, detail="not you")


@app.route("/moved")
async def moved(req, res):
    raise Redirect("/hello")


@app.route("/moved-forever")
async def moved_for_ever(req, res):
    raise Redirect("/hello", permanent=True)


class OutOfStock(Exception):
    pass


@app.error_handler(OutOfStock)
async def on_out_of_stock(req, res, exc):
    res.status_code = 409
    res.text = str(exc)


@app.route("/out-of-stock")
async def out_of_stock(req, res):
    raise OutOfStock("3 left")


# -- background tasks --


@app.route("/orders", methods=["post"])
async def create_order(req, res):
    email = (await req.json())["email"]

    @res.background
    async def send_confirmation():
        ran.append(f"to {email}")

    res.status_code = 201


async def send(who: str):
    ran.append(f"to {who}")


@app.route("/parametrised", methods=["post"])
async def parametrised(req, res):
    res.background(send, who="user@example.net")
    res.status_code = 201


@app.route("/latest", methods=["post"])
async def latest(req, res):
    res.background(send, who="first")
    res.background(send, who="second")


@app.route("/several", methods=["post"])
async def several(req, res):
    @res.background
    async def send_all():
        await asyncio.gather(send("a"), send("b"))


@app.route("/task-and-error", methods=["post"])
async def task_and_error(req, res):
    res.background(send, who="all the same")
    raise HTTPError(400)


@app.route("/task-and-stream")
async def task_and_stream(req, res):
    @res.stream
    async def numbers():
        yield "1\n"

    res.background(send, who="after the stream")
