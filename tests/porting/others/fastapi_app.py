"""The FastAPI side of docs/porting.md."""

from fastapi import BackgroundTasks, FastAPI

ran = []

app = FastAPI()


def write_log(message: str):
    ran.append(message)


@app.post("/notify/{email}", status_code=202)
async def notify(email: str, background_tasks: BackgroundTasks):
    background_tasks.add_task(write_log, f"notified {email}")
    return {"email": email}


@app.get("/_ran")
async def asked():
    answer = list(ran)
    ran.clear()
    return answer
