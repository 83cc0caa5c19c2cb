"""The original of main.rs: a to-do service for Bocadillo 0.18. Run with `uvicorn app:app`."""

import asyncio
import pathlib

from bocadillo import App, HTTPError, configure

app = App()
configure(app)

todos = {}
ran = []


def find(id):
    if id not in todos:
        raise HTTPError(404, detail="no such to-do")
    return todos[id]


def create(title):
    id = len(todos) + 1
    todos[id] = {"id": id, "title": title, "done": False}
    return todos[id]


async def notify(what: str):
    ran.append(what)


@app.route("/todos")
class Todos:
    async def get(self, req, res):
        done = req.query_params.get("done")
        found = todos.values()
        if done is not None:
            found = [todo for todo in found if todo["done"] == (done == "true")]
        res.json = list(found)

    async def post(self, req, res):
        todo = create((await req.json())["title"])

        @res.background
        async def write_log():
            ran.append(f"created {todo['id']}")

        res.status_code = 201
        res.headers["location"] = f"/todos/{todo['id']}"
        res.json = todo


@app.route("/todos/{id}")
class Todo:
    async def get(self, req, res, id: int):
        res.json = find(id)

    async def put(self, req, res, id: int):
        todo = find(id)
        changes = await req.json()
        todo["done"] = changes["done"]
        res.background(notify, what=f"{todo['title']} is done")
        res.json = todo

    async def delete(self, req, res, id: int):
        find(id)["title"] = "removed"
        res.status_code = 204


@app.route("/login", methods=["post"])
async def login(req, res):
    name = (await req.form())["name"]
    res.status_code = 302
    res.headers["location"] = "/me"
    res.headers["set-cookie"] = f"user={name}; HttpOnly; Path=/"


@app.route("/me")
async def me(req, res):
    if "user" not in req.cookies:
        raise HTTPError(401)
    res.text = req.cookies["user"]


@app.route("/import", methods=["post"])
async def upload(req, res):
    form = await req.form()
    lines = (await form["file"].read()).decode().split()
    added = [create(title) for title in lines]

    @res.background
    async def notify_all():
        await asyncio.gather(*(notify(f"imported {todo['title']}") for todo in added))

    res.status_code = 201
    res.json = {"added": len(added)}


@app.route("/export")
async def export(req, res):
    lines = [f"{todo['id']},{todo['title']}" for todo in todos.values()]
    res.headers["content-disposition"] = 'attachment; filename="todos.csv"'

    @res.stream
    async def rows():
        for line in lines:
            yield line + "\n"


@app.route("/source")
async def source(req, res):
    res.file(str(pathlib.Path(__file__).parent / "license.txt"), attach=False)


@app.route("/_ran")
async def _ran(req, res):
    await asyncio.sleep(0.05)
    res.json = sorted(ran)
    ran.clear()
