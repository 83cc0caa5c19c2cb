"""The Starlette side of docs/porting.md."""

from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.responses import JSONResponse
from starlette.routing import Route

ran = []


async def send(who):
    ran.append(f"to {who}")


async def sign_up(request):
    data = await request.json()
    task = BackgroundTask(send, data["email"])
    return JSONResponse({"status": "ok"}, background=task)


async def several(request):
    tasks = BackgroundTasks()
    tasks.add_task(send, "a")
    tasks.add_task(send, "b")
    return JSONResponse({"status": "ok"}, background=tasks)


async def asked(request):
    answer = JSONResponse(list(ran))
    ran.clear()
    return answer


app = Starlette(
    routes=[
        Route("/sign-up", sign_up, methods=["POST"]),
        Route("/several", several, methods=["POST"]),
        Route("/_ran", asked),
    ]
)
