/** The sentences about pictures, files and functions, beside those that all pages share. */
import { catalogue, speaker } from "./strings.js";

// biome-ignore format: one line a sentence
const own = {
  // [English, 简体中文]
  attach: ["Attach pictures or files", "添加图片或文件"],
  attach_drop: ["Drop pictures and text files here", "将图片或文本文件拖放到此处"],
  attachment_failed: ["{name} could not be attached.", "无法添加 {name}。"],
  attachment_failed_hint: ["The connection broke off.", "连接已中断。"],
  attachment_failed_some: ["Something could not be attached.", "有内容未能添加。"],
  attachment_failed_some_again: ["Try it again, or remove it.", "请重试，或将其移除。"],
  attachment_failed_some_hint: ["Remove it to send the rest.", "请移除后再发送其余内容。"],
  attachment_gone: ["no longer kept", "已不再保存"],
  attachment_large: ["{name} has {size} MiB; an attachment has 8 at most.", "{name} 有 {size} MiB，附件最大 8 MiB。"],
  attachment_many: ["A message has at most 20 attachments.", "一条消息最多 20 个附件。"],
  attachment_ready: ["attached", "已添加"],
  attachment_remove: ["Remove {name}", "移除 {name}"],
  attachment_retry: ["Try {name} again", "重试 {name}"],
  attachment_sending: ["sending {n}", "正在发送 {n}"],
  attachments: ["Attachments", "附件"],
  cannot_see: ["{model} cannot see pictures.", "{model} 无法识别图片。"],
  cannot_see_hint: ["Remove them, or add a provider with a model that can.", "请移除图片，或添加支持图片的提供方。"],
  model_calls: ["Calls functions", "可调用函数"],
  model_sees: ["Sees pictures", "可识别图片"],
  picture: ["Picture {name}", "图片 {name}"],
  picture_show: ["Show {name} large", "放大查看 {name}"],
  too_long: ["With these files the message has about {tokens} tokens; {model} reads {context}.", "加上这些文件，消息约有 {tokens} 个词元，而 {model} 最多读取 {context} 个。"],
  too_long_hint: ["Attach less, or choose a model that reads more.", "请减少附件，或选择上下文更长的模型。"],
  tool_allow: ["Allow", "允许"],
  tool_always: ["Always in this conversation", "在本对话中始终允许"],
  tool_arguments: ["Arguments", "参数"],
  tool_asks: ["The model wants to call a function of this page.", "模型想调用此页面的一个函数。"],
  tool_denied: ["denied", "已拒绝"],
  tool_deny: ["Deny", "拒绝"],
  tool_failed: ["failed", "失败"],
  tool_finished: ["done", "完成"],
  tool_goes_on: ["The function still runs in your kernel until it ends by itself.", "该函数仍在您的内核中运行，直到自行结束。"],
  tool_none: ["(nothing)", "（无）"],
  tool_resend: ["Send the results", "发送结果"],
  tool_result: ["Result", "结果"],
  tool_running: ["running…", "正在运行…"],
  tool_unknown: ["This page has no such function.", "此页面没有该函数。"],
  tool_unknown_go: ["Tell the model", "告知模型"],
  tool_unrun: ["not run", "未运行"],
  tool_waiting: ["waits for you", "等待您的决定"],
  use_model: ["Use {model}", "改用 {model}"],
};

/** The sentence `key`, of these or of those that all pages share. */
export const t = speaker({ ...catalogue, ...own });
